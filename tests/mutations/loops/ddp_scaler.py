# Form: DistributedDataParallel with mixed precision, a sampler and a schedule.
import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def main():
    dist.init_process_group("nccl")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    net = nn.Sequential(nn.Linear(28, 112), nn.GELU(), nn.Linear(112, 14)).to(device)
    model = DistributedDataParallel(net, device_ids=[device])
    data = TensorDataset(torch.randn(1120, 28), torch.randint(0, 14, (1120,)))
    sampler = DistributedSampler(data)
    loader = DataLoader(data, batch_size=56, sampler=sampler)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    scaler = torch.amp.GradScaler("cuda")
    for epoch in range(6):
        sampler.set_epoch(epoch)
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            with torch.autocast("cuda", dtype=torch.float16):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        scheduler.step()
        print(epoch, loss.item())
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
