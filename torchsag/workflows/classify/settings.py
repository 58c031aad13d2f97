"""How particles are divided: what `torchsag classify` is told beside which particles and where to."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchsag.alignment.aligner import Aligner
from torchsag.averaging.mask import Mask, SphericalMask
from torchsag.classification.classifier import Classifier
from torchsag.classification.first_classes import FirstClasses, RandomLabels
from torchsag.classification.mates import symmetry_mates
from torchsag.errors import InputError
from torchsag.geometry import Symmetry


@dataclass(frozen=True, kw_only=True)
class ClassificationSettings:
    """What the turns of a classification follow.

    Attributes
    ----------
    method
        How particles are divided.
    classes
        How many classes at first; those that the data cannot tell apart are merged.
    first_classes
        Which particles are in them.
    symmetry
        Symmetry of the classes: C1, Cn, Dn, T, O or I, with RELION's axes.
    common_symmetry
        Imposed on the common average; None for that of the classes. Where it is higher, a particle may turn out to
        stand in any of the poses that the common average could not tell apart.
    alignment
        Aligns particles to the common average over all orientations, and later to class averages.
    class_alignments
        How often particles are aligned to the class averages and divided again.
    mask
        Where the particle is, for the common average and for FSCs.
    focus
        Where classes may differ; None for `mask`.
    resolution_angstrom
        The finest detail that classes are compared in.
    contrast
        Power of class differences expected beforehand, as a part of the common average's: regularises class averages.
    noise_class
        Whether particles that show not even the common average are set apart, as class 0.
    merge
        Whether classes that the data cannot tell apart are merged.
    """

    method: Classifier
    alignment: Aligner
    classes: int = 10
    first_classes: FirstClasses = field(default_factory=RandomLabels)
    symmetry: str = "C1"
    common_symmetry: str | None = None
    class_alignments: int = 1
    mask: Mask = field(default_factory=SphericalMask)
    focus: Mask | None = None
    resolution_angstrom: float = 32.0
    contrast: float = 0.3
    noise_class: bool = True
    merge: bool = True

    def check(self) -> None:
        """Refuse what cannot be; InputError."""
        symmetry_mates(self.group, self.common_group)
        if not isinstance(self.method, Classifier):
            raise InputError(
                f"method: expected a way to classify, got {type(self.method).__name__}; "
                "for example method=mco_a, mco_exmx or multi_reference"
            )
        if not isinstance(self.alignment, Aligner):
            raise InputError(f"alignment: expected an aligner, got {type(self.alignment).__name__}")
        if self.classes < 1:
            raise InputError(f"classes: expected at least 1, got {self.classes}")
        if self.class_alignments < 0:
            raise InputError(f"class_alignments: expected at least 0, got {self.class_alignments}")
        for name in ("resolution_angstrom", "contrast"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: expected a number above 0, got {getattr(self, name)}")

    @property
    def group(self) -> Symmetry:
        """Of the classes."""
        return Symmetry(self.symmetry)

    @property
    def common_group(self) -> Symmetry:
        """Of the common average."""
        return Symmetry(self.common_symmetry or self.symmetry)

    @property
    def focus_or_mask(self) -> Mask:
        """What outlines where classes may differ."""
        return self.mask if self.focus is None else self.focus
