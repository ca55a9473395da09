"""Simple properties of stimuli, whose trace in a bottleneck tells what it carries."""

from collections.abc import Sequence

import numpy as np

# Words that carry grammar rather than content.
_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be because been before but by can could did do does "
    "for from had has have he her him his how i if in into is it its me might more most must my no nor "
    "not of on or our out shall she should so some such than that the their them then there these they "
    "this those through to too up upon us was we were what when where which while who whom whose why "
    "will with would you your"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def image_properties(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return properties of images (images, height, width[, 3]) in 0..1, each (images,).

    ``brightness`` is the mean luminance (ITU-R 601), ``contrast`` its standard deviation, ``gradient`` the
    mean length of its gradient (how much edge there is); colour images also have ``saturation`` (mean of
    largest minus smallest channel), ``red_green`` and ``blue_yellow`` (mean opponent signals).

    Examples
    --------
    >>> {name: round(float(value[0]), 3) for name, value in image_properties(np.ones((1, 4, 4))).items()}
    {'brightness': 1.0, 'contrast': 0.0, 'gradient': 0.0}
    """
    images = np.asarray(images, dtype=float)
    colour = images.ndim == 4
    luminance = images @ np.array([0.299, 0.587, 0.114]) if colour else images
    down, across = np.gradient(luminance, axis=(1, 2))
    found = {
        "brightness": luminance.mean((1, 2)),
        "contrast": luminance.std((1, 2)),
        "gradient": np.hypot(down, across).mean((1, 2)),
    }
    if colour:
        red, green, blue = np.moveaxis(images, 3, 0)
        found["saturation"] = np.ptp(images, axis=3).mean((1, 2))
        found["red_green"] = (red - green).mean((1, 2))
        found["blue_yellow"] = (blue - (red + green) / 2).mean((1, 2))
    return found


def text_properties(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return properties of English texts, each (texts,).

    ``n_words``; ``word_length`` (mean, in letters); ``function_words`` (the share of articles, pronouns,
    prepositions and the like, a stand-in for part of speech); ``repetition`` (share of words that occurred
    before in the same text).

    Examples
    --------
    >>> text_properties(["The cat and the dog"])["function_words"]
    array([0.6])
    """
    words = [[word.strip(".,;:!?'()").lower() for word in text.split()] or [""] for text in texts]
    return {
        "n_words": np.array([float(len(text.split())) for text in texts]),
        "word_length": np.array([np.mean([len(word) for word in each]) for each in words]),
        "function_words": np.array([np.mean([word in FUNCTION_WORDS for word in each]) for each in words]),
        "repetition": np.array([1 - len(set(each)) / len(each) for each in words]),
    }
