"""What is written of evaluations: reports, tables, pictures, pages; and reports read back."""
