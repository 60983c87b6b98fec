"""The page of a retrieval report: one self-contained HTML file that opens without a network."""
