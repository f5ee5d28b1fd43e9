"""A spreadsheet in, thousands of finished ad creatives out, without ever paying twice."""
