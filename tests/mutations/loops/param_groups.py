# Form: fine-tuning with a frozen stem and two param groups of different rates.
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset


class FineTuned(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.backbone = nn.Sequential(
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(self.backbone(x).flatten(1))


model = FineTuned(classes=5)
for param in model.stem.parameters():
    param.requires_grad = False

optimizer = optim.SGD(
    [
        {"params": model.backbone.parameters(), "lr": 1e-3},
        {"params": model.head.parameters(), "lr": 1e-2},
    ],
    lr=1e-3,
    momentum=0.9,
)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
images, labels = torch.randn(96, 3, 16, 16), torch.randint(0, 5, (96,))
loader = DataLoader(TensorDataset(images, labels), batch_size=16, shuffle=True, drop_last=True)

for epoch in range(2):
    model.train()
    for inputs, targets in loader:
        optimizer.zero_grad(set_to_none=True)
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)
        optimizer.step()
    print(epoch, loss.item())
