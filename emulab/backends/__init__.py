"""What executes firmware for a platform. The contract is in ``base``; one module or package per backend."""
