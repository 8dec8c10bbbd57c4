"""Labels of answers in English, French and German, and their place on a scale of five points."""

from __future__ import annotations

from icsat_helpers.settings import fold

_FIVE_POINTS = (
    """strongly disagree; very dissatisfied; never; pas du tout d'accord; tout à fait en désaccord;
    fortement en désaccord; très insatisfait; très insatisfaite; jamais; stimme überhaupt nicht zu;
    stimme gar nicht zu; trifft überhaupt nicht zu; trifft gar nicht zu; sehr unzufrieden; nie""",
    """disagree; dissatisfied; rarely; seldom; pas d'accord; plutôt pas d'accord; en désaccord; plutôt en
    désaccord; insatisfait; insatisfaite; plutôt insatisfait; plutôt insatisfaite; rarement; stimme
    nicht zu; stimme eher nicht zu; trifft eher nicht zu; unzufrieden; eher unzufrieden; selten""",
    """neither agree nor disagree; neither satisfied nor dissatisfied; neutral; undecided; sometimes; ni
    d'accord ni pas d'accord; ni d'accord, ni pas d'accord; ni d'accord ni en désaccord; ni en accord ni
    en désaccord; ni satisfait ni insatisfait; ni satisfaite ni insatisfaite; neutre; parfois;
    quelquefois; weder noch; stimme weder zu noch nicht zu; stimme weder zu noch lehne ab; teils teils;
    teils/teils; teils, teils; teils-teils; weder zufrieden noch unzufrieden; manchmal""",
    """agree; satisfied; often; d'accord; plutôt d'accord; en accord; plutôt en accord; satisfait;
    satisfaite; plutôt satisfait; plutôt satisfaite; souvent; stimme zu; stimme eher zu; trifft eher zu;
    zufrieden; eher zufrieden; oft; häufig""",
    """strongly agree; very satisfied; always; tout à fait d'accord; tout à fait en accord; fortement en
    accord; très satisfait; très satisfaite; toujours; stimme voll und ganz zu; stimme voll zu; stimme
    völlig zu; trifft voll und ganz zu; sehr zufrieden; immer""",
)
FIVE_POINTS = {fold(label): point for point, labels in enumerate(_FIVE_POINTS, 1) for label in labels.split(";")}
"""The built-in labels and their place on a scale of five points."""
