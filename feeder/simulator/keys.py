"""API keys of the simulator: who may sign requests to it, and how."""

from dataclasses import dataclass, field

from feeder.errors import FeederError


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, and either the secret that it signs with (HMAC) or the public half of its RSA pair, as PEM.

    `account` names whose orders and wallet it reaches; keys of one account share its rate limits. A `read_only` key may
    not POST, an `expired` one nothing, one with `addresses` comes only from these.
    """

    key: str
    secret: str = field(default="", repr=False)
    account: str = "1"
    public_key_pem: str | None = field(default=None, repr=False)
    read_only: bool = False
    expired: bool = False
    addresses: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.key or not (self.key.isascii() and self.key.isprintable()):
            raise FeederError("an API key is empty or not plain ASCII; it is sent as a header: choose another")
        if bool(self.secret) == (self.public_key_pem is not None):
            raise FeederError(f"API key {self.key} needs a secret or an RSA public key: give one of the two")


DEFAULT_KEY = ApiKey("sim-key", "sim-secret")
"""What a simulator knows that was given no other keys. Published, so that `feeder sim` can be used at once."""
