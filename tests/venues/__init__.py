"""Local servers that speak the brokers' wire protocols; the unmodified SDKs are run against them."""
