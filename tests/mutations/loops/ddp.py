# Form: DistributedDataParallel, one process a device, sampler told the epoch.
import os

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


class ToyModel(nn.Module):
    def __init__(self):
        super(ToyModel, self).__init__()
        self.net1 = nn.Linear(10, 40)
        self.relu = nn.ReLU()
        self.net2 = nn.Linear(40, 5)

    def forward(self, x):
        return self.net2(self.relu(self.net1(x)))


def main():
    dist.init_process_group("gloo")
    rank = int(os.environ["LOCAL_RANK"])
    torch.manual_seed(rank)
    dataset = TensorDataset(torch.randn(640, 10), torch.randn(640, 5))
    sampler = DistributedSampler(dataset)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    ddp_model = DDP(ToyModel())
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.SGD(ddp_model.parameters(), lr=0.01)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for inputs, targets in loader:
            optimizer.zero_grad()
            outputs = ddp_model(inputs)
            loss_fn(outputs, targets).backward()
            optimizer.step()
        if rank == 0:
            torch.save(ddp_model.module.state_dict(), "toy.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
