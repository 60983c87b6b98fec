"""Retrieval: exact ranks, metrics with their definitions, FAISS search, reports."""
