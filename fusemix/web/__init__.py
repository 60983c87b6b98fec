"""The page and the interface for programs that search an index; FastAPI and uvicorn are known here alone."""
