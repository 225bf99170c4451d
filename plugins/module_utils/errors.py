# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The exceptions that a module turns into its failure message; no imports, so that pure planners can raise them."""

from __future__ import annotations


class Failure(Exception):
    """Anything that ends a module: the text is one sentence for the operator."""


class BadInput(Failure):
    """The options contradict each other, or break a limit; the text names the entry."""


class AwsFailure(Failure):
    """A call to AWS failed; the text says what was being done and what AWS answered."""


class NotReady(AwsFailure):
    """A waiter's deadline passed, or the resource went to a state from which it cannot become ready."""
