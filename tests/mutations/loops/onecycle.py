# Form: OneCycleLR over all batches, in a function with keyword arguments.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def fit_one_cycle(epochs, max_lr, model, train_loader, weight_decay=1e-4, grad_clip=0.5):
    optimizer = torch.optim.Adam(model.parameters(), max_lr / 25, weight_decay=weight_decay)
    sched = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr, epochs=epochs, steps_per_epoch=len(train_loader))
    history = []
    for epoch in range(epochs):
        model.train()
        train_losses = []
        for images, labels in train_loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            train_losses.append(loss.detach())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
            optimizer.step()
            optimizer.zero_grad()
            sched.step()
        history.append(torch.stack(train_losses).mean().item())
    return history


net = nn.Sequential(
    nn.Conv2d(3, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(80, 10)
)
batches = DataLoader(TensorDataset(torch.randn(192, 3, 12, 12), torch.randint(0, 10, (192,))), batch_size=32, shuffle=True)
print(fit_one_cycle(3, 5e-3, net, batches))
