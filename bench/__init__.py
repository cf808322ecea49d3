"""How fast Realms is beside nginx and LiteLLM on the same machine: ``python -m bench``."""
