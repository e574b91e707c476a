"""What moves leave behind, over the whole cloud: every check of the books, and the forms that its answer has."""

from __future__ import annotations

from gpuctl.moves.audit.run import Audit, audit, audit_cloud, findings

__all__ = ["Audit", "audit", "audit_cloud", "findings"]
