# Form: GradScaler with unscale and clip, passed as arguments.
import argparse

import torch
import torch.nn as nn
from torch.amp import GradScaler, autocast
from torch.utils.data import DataLoader, TensorDataset


def train_one_epoch(model, criterion, optimizer, data_loader, device, args, scaler):
    model.train()
    for image, target in data_loader:
        image, target = image.to(device), target.to(device)
        with autocast(device.type, dtype=torch.float16, enabled=scaler.is_enabled()):
            output = model(image)
            loss = criterion(output, target)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), args.clip_grad_norm)
        scaler.step(optimizer)
        scaler.update()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", default=0.1, type=float)
    parser.add_argument("--epochs", default=2, type=int)
    parser.add_argument("--clip-grad-norm", default=1.0, type=float)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10)
    ).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1], gamma=0.1)
    scaler = GradScaler(device.type, enabled=device.type == "cuda")
    data = TensorDataset(torch.randn(128, 3, 8, 8), torch.randint(0, 10, (128,)))
    loader = DataLoader(data, batch_size=32, shuffle=True)
    for epoch in range(args.epochs):
        train_one_epoch(model, nn.CrossEntropyLoss(), optimizer, loader, device, args, scaler)
        scheduler.step()


if __name__ == "__main__":
    main()
