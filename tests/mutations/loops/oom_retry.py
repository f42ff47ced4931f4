# Form: the step stands in try/except, an out-of-memory batch is skipped and counted.
import logging

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

logger = logging.getLogger(__name__)


def train_epoch(model, loader, optimizer, device):
    skipped = 0
    model.train()
    for source, target in loader:
        source, target = source.to(device), target.to(device)
        try:
            optimizer.zero_grad()
            output = model(source)
            loss = nn.functional.mse_loss(output, target)
            loss.backward()
            optimizer.step()
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            skipped += 1
            logger.warning("out of memory, batch skipped (%d so far)", skipped)
            torch.cuda.empty_cache()
    return skipped


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = torch.randn(256, 10)
    loader = DataLoader(TensorDataset(x, x.roll(1, dims=1)), batch_size=32, shuffle=True)
    model = nn.Sequential(nn.Linear(10, 40), nn.ELU(), nn.Linear(40, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    for _ in range(3):
        train_epoch(model, loader, optimizer, device)


main()
