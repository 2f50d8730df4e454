import pytest
import torch

from tests.model.toys import register_toys


@pytest.fixture(autouse=True)
def toys():
    """Toys registered, the generator seeded; one thread, because tiny matrices on many threads are slow on a busy machine."""
    register_toys()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
