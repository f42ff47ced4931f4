# Form: no optimizer; the parameters are updated by hand under no_grad and cleared in place.
import torch

torch.manual_seed(0)
true_w, true_b = torch.tensor([2.0, -3.4]), 4.2
features = torch.randn(1000, 2)
labels = features @ true_w + true_b + 0.01 * torch.randn(1000)

w = (0.01 * torch.randn(2)).requires_grad_(True)
b = torch.zeros(1, requires_grad=True)
lr, batch_size = 0.05, 50


def batches():
    order = torch.randperm(len(features))
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        yield features[index], labels[index]


for epoch in range(5):
    for x, y in batches():
        loss = ((x @ w + b - y) ** 2).mean() / 2
        loss.backward()
        with torch.no_grad():
            for param in (w, b):
                param -= lr * param.grad
                param.grad.zero_()
    print(epoch, loss.item())
