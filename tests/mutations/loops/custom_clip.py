# Form: hand-written global-norm clipping in a loop over an LSTM's parameters.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def clip_gradients(grad_clip_val, model):
    params = [p for p in model.parameters() if p.requires_grad and p.grad is not None]
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
    if norm > grad_clip_val:
        for param in params:
            param.grad[:] *= grad_clip_val / norm


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=1, hidden_size=32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1])


series = torch.sin(torch.arange(0, 60, 0.1)).unsqueeze(1)
windows = torch.stack([series[i : i + 20] for i in range(500)])
targets = torch.stack([series[i + 20] for i in range(500)])
loader = DataLoader(TensorDataset(windows, targets), batch_size=50, shuffle=True)

net = Forecaster()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(3):
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        clip_gradients(1.0, net)
        optimizer.step()
    print(epoch, loss.item())
