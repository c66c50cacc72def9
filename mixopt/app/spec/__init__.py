"""What a spec says: read strictly, checked field by field, with line, rule and remedy."""
