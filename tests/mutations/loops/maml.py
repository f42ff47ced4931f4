# Form: meta-learning, the inner loop adapts fast weights by autograd.grad, the outer one steps the optimizer.
import torch
from torch import nn
from torch.func import functional_call

TASKS, INNER_STEPS, INNER_LR = 4, 3, 0.02
model = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
meta_optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def sample_task():
    amplitude, phase = torch.rand(1) * 4 + 0.5, torch.rand(1) * 3.14
    x = torch.rand(20, 1) * 10 - 5
    return x, amplitude * torch.sin(x + phase)


def adapt(params, x, y):
    for _ in range(INNER_STEPS):
        loss = nn.functional.mse_loss(functional_call(model, params, (x,)), y)
        grads = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
        params = {name: p - INNER_LR * g for (name, p), g in zip(params.items(), grads)}
    return params


for iteration in range(20):
    meta_optimizer.zero_grad()
    meta_loss = torch.zeros(())
    for _ in range(TASKS):
        x, y = sample_task()
        fast = adapt(dict(model.named_parameters()), x[:10], y[:10])
        meta_loss = meta_loss + nn.functional.mse_loss(functional_call(model, fast, (x[10:],)), y[10:])
    meta_loss = meta_loss / TASKS
    meta_loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    meta_optimizer.step()
    if iteration % 5 == 0:
        print(iteration, meta_loss.item())
