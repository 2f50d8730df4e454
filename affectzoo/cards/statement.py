"""What every card carries word for word: about people, their data and the law. Written here and nowhere else."""

from __future__ import annotations

import re

HEADING = "## Before it is used on people"

#: Sources: Regulation (EU) 2024/1689, articles 3(39), 5(1)(f), 6, 50(3), recital 18 and annex III, point 1(c); Regulation
#: (EU) 2016/679 (GDPR), articles 4(1), 4(14), 6, 9 and 35.
STATEMENT = f"""{HEADING}

- **Not a diagnosis.** No output says anything about anybody's health or mind, and none may decide about a person.
- **What a value is.** What annotators or questionnaires would probably say of such a recording. It is not what a person
  feels: feelings cannot be read off a face or a voice.
- **Consent.** People who are analysed must know it, must have agreed to it, and must be able to refuse without harm.
- **Bias.** Errors differ by skin tone, age, gender, culture and language, and are larger for people unlike those in the
  training data. Measure them on people like yours before you believe a value.
- **European Union, AI Act** (Regulation (EU) 2024/1689). AI systems that infer the emotions of people at work or in
  education are prohibited, except for medical or safety reasons (article 5(1)(f)). Otherwise, systems intended for emotion
  recognition, where they are permitted at all, are listed as high-risk (annex III, point 1(c), with article 6), and their
  deployers must inform the people exposed to them, except where the law permits such a system to detect, prevent or
  investigate crime (article 50(3)). Article 3(39) and recital 18 say what counts as emotion recognition.
- **European Union, GDPR.** A recording of a person is personal data, and so is what a model says of that person: both need a
  lawful basis (article 6). Data concerning health, and biometric data processed to identify somebody uniquely, may be
  processed under an exception of article 9(2) only, such as explicit consent. Where a high risk to people is likely, its
  impact must be assessed first (article 35).
- Other laws may apply; this is no legal advice.
"""

_SECTION = re.compile(rf"^{re.escape(HEADING)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def carries_statement(text: str) -> bool:
    """Whether the statement stands in `text` as it is written here."""
    return STATEMENT in text


def with_statement(text: str) -> str:
    """`text` (Markdown) with the statement as its last section; an older one gives way."""
    rest = _SECTION.sub("", text).rstrip("\n")
    return f"{rest}\n\n{STATEMENT}"
