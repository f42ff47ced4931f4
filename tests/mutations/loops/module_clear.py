# Form: the module clears, set_to_none, between forward and backward.
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Regressor(torch.nn.Module):
    def __init__(self):
        super(Regressor, self).__init__()
        self.hidden = torch.nn.Linear(8, 32)
        self.out = torch.nn.Linear(32, 1)

    def forward(self, x):
        return self.out(F.gelu(self.hidden(x))).squeeze(-1)


net = Regressor()
opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
features = torch.randn(300, 8)
loader = DataLoader(TensorDataset(features, features.sum(1)), batch_size=25, shuffle=True)

for epoch in range(5):
    losses = []
    for batch_idx, (data, target) in enumerate(loader):
        prediction = net(data)
        loss = F.mse_loss(prediction, target)
        net.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print(f"epoch {epoch} loss {sum(losses) / len(losses):.4f}")
