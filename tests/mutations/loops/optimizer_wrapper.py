# Form: an own class wraps the optimizer and its warm-up; the loop talks to the wrapper only.
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class NoamOptimizer:
    def __init__(self, optimizer, model_size, warmup):
        self.optimizer = optimizer
        self.model_size = model_size
        self.warmup = warmup
        self.steps = 0

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self):
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()

    def rate(self):
        return self.model_size**-0.5 * min(self.steps**-0.5, self.steps * self.warmup**-1.5)


def main():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    model = nn.Sequential(nn.Embedding(40, 32), encoder, nn.Linear(32, 40))
    optim = NoamOptimizer(torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9), 32, 400)
    loss_fn = nn.CrossEntropyLoss(ignore_index=0)
    ids = torch.randint(0, 40, (160, 9))
    loader = DataLoader(TensorDataset(ids), batch_size=16, shuffle=True)
    model.train()
    for epoch in range(2):
        for (batch,) in loader:
            logits = model(batch[:, :-1])
            loss = loss_fn(logits.transpose(1, 2), batch[:, 1:])
            optim.zero_grad()
            loss.backward()
            optim.step()
        print(epoch, loss.item(), optim.rate())


if __name__ == "__main__":
    main()
