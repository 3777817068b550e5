"""Everything that decides a training run, apart from the data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from heliodor.checks import check_choice, check_least
from heliodor.errors import SettingsError
from heliodor.networks import NetworkSettings
from heliodor.training.objectives import DEFAULT_SLACK, OBJECTIVES, SLACK_FROM_START, check_pi

# The paper's minibatch holds 240 unlabelled regions; its weight of the GE-binomial penalty belongs to that number.
PAPER_UNLABELED = 240


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides the result of a training run, apart from the data.

    Parameters
    ----------
    network : NetworkSettings
    method : {'GE-binomial', 'GE-KL', 'PU', 'PN'}
    pi : float
        Fraction of positives among the unlabelled regions.
    slack : float
        Weight of the GE penalty; negative: `heliodor.training.objectives.DEFAULT_SLACK`, see also `from_start`.
    pi_of_all : float, optional
        Fraction of positives among all regions, see `heliodor.training.objectives.pu`, which alone knows it. Default:
        the labelled ones are weighed by pi, as in the literature, which is right where few of all are labelled.
    label_radius : float
        In downsampled pixels.
    autoencoder : float
        Weight gamma of the reconstruction error; 0: no decoder (METHOD: 10 / N below 250 labels).
    decoder_units : int
        Channels of the decoder's last hidden layer (the paper: 32).
    l2 : float
        Adds l2 / 2 * sum of squared weights.
    learning_rate : float
        Peak of the one-cycle schedule.
    epochs, epoch_size : int
        Epochs, and minibatches per epoch.
    outputs : int
        Scores along a side of a tile; 1 trains on single regions, as in the paper.
    label_tiles, random_tiles : int
        Tiles per minibatch around labels, and from anywhere.
    aligned : float
        Share of the tiles that are cut along the pixel grid; see `heliodor.training.tiles`.
    average : float
        Decay of the running average of the weights, per minibatch; 0: none.
    start_share : float
        Of a network that training starts from: the result is this share of its weights, and the rest of the trained
        ones (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"), in [0, 1].
    seed : int
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    method: str = "GE-binomial"
    pi: float = 0.01
    slack: float = -1.0
    pi_of_all: float | None = None
    label_radius: float = 3.0
    autoencoder: float = 0.0
    decoder_units: int = 32
    l2: float = 0.0
    learning_rate: float = 2e-3
    epochs: int = 10
    epoch_size: int = 100
    outputs: int = 4
    label_tiles: int = 8
    random_tiles: int = 40
    aligned: float = 0.5
    average: float = 0.98
    start_share: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("method", self.method, OBJECTIVES)
        check_pi(self.pi)
        if self.pi_of_all is not None and not self.pi <= self.pi_of_all <= 1:
            raise SettingsError(f"pi_of_all must be in [pi, 1]. Got {self.pi_of_all} instead.")
        whole = ("epochs", "epoch_size", "outputs", "label_tiles", "random_tiles", "decoder_units")
        check_least(1, **{name: getattr(self, name) for name in whole})
        weights = ("label_radius", "autoencoder", "l2", "learning_rate")
        check_least(0, **{name: getattr(self, name) for name in weights})
        for name in ("aligned", "start_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be in [0, 1]. Got {getattr(self, name)} instead.")

    def from_start(self) -> TrainingSettings:
        """Return them for training from pretrained weights: with the penalty's weight for these, if none is given."""
        return self if self.slack >= 0 else replace(self, slack=SLACK_FROM_START[self.method])

    def weight(self, unlabeled: int) -> float | None:
        """Return the last parameter of the objective: for PU `pi_of_all`, else the weight of the penalty.

        The latter for `unlabeled` regions in a minibatch of tiles.

        The gradient of the GE-binomial penalty grows with the number of unlabelled regions, as if
        each told something of its own. The regions of one tile overlap and do not: beyond the
        paper's number the weight shrinks in proportion.
        """
        if self.method == "PU":
            return self.pi_of_all
        slack = self.slack if self.slack >= 0 else DEFAULT_SLACK[self.method]
        if self.method == "GE-binomial" and unlabeled > PAPER_UNLABELED:
            return slack * PAPER_UNLABELED / unlabeled
        return slack
