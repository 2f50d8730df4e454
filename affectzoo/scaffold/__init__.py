"""A plugin to begin with: an installable package with one small component that keeps its contract."""

from affectzoo.scaffold.kinds import KINDS
from affectzoo.scaffold.names import Names
from affectzoo.scaffold.write import write_plugin

__all__ = ["KINDS", "Names", "write_plugin"]
