from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files by name: cert and key that belong together, another key, the key with a passphrase, the authority."""
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued, another = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    files = {name: directory / f"{name}.pem" for name in ("cert", "key", "other", "locked", "ca")}
    files["cert"].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(files["key"]))
    another.private_key_pem.write_to_path(str(files["other"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    files["locked"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return files
