"""The call-control API of the dial-verb family: `/v1/Accounts/{account_sid}/Calls`."""
