# Form: several optimizers in a dict, cleared and stepped by loops over it.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

encoder = nn.Sequential(nn.Linear(12, 32), nn.ReLU())
decoder = nn.Linear(32, 12)
optimizers = {
    "encoder": torch.optim.Adam(encoder.parameters(), lr=1e-3),
    "decoder": torch.optim.Adam(decoder.parameters(), lr=3e-3),
}
data = torch.randn(256, 12)
loader = DataLoader(TensorDataset(data), batch_size=32, shuffle=True)

for epoch in range(4):
    total = 0.0
    for (batch,) in loader:
        for opt in optimizers.values():
            opt.zero_grad()
        code = encoder(batch + 0.1 * torch.randn_like(batch))
        loss = nn.functional.mse_loss(decoder(code), batch)
        loss.backward()
        for opt in optimizers.values():
            opt.step()
        total += loss.item()
    print(epoch, total)
