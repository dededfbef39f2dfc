"""Media formats that more than one room speaks: pure, bytes in and values out."""
