"""What a column means: kind of value, unit, UCD, description, fill value, flags."""
