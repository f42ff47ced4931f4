# Form: accumulate over 4 batches; the last group of the epoch is stepped too.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATE = 4

model = nn.Sequential(nn.Flatten(), nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
criterion = nn.CrossEntropyLoss()
loader = DataLoader(TensorDataset(torch.randn(330, 8, 8), torch.randint(0, 10, (330,))), batch_size=16, shuffle=True)

for epoch in range(3):
    model.train()
    optimizer.zero_grad()
    for i, (images, labels) in enumerate(loader):
        outputs = model(images)
        loss = criterion(outputs, labels) / ACCUMULATE
        loss.backward()
        if (i + 1) % ACCUMULATE == 0 or (i + 1) == len(loader):
            optimizer.step()
            optimizer.zero_grad()
    print(epoch, loss.item() * ACCUMULATE)
