# Form: a DeepSpeed engine scales, accumulates, clips, clears and steps.
import argparse

import deepspeed
import torch
from torch import nn
from torch.utils.data import TensorDataset


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--local_rank", type=int, default=-1)
    parser = deepspeed.add_config_arguments(parser)
    args = parser.parse_args()
    net = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 10))
    data = TensorDataset(torch.randn(1024, 32), torch.randint(0, 10, (1024,)))
    engine, optimizer, loader, _ = deepspeed.initialize(
        args=args, model=net, model_parameters=net.parameters(), training_data=data
    )
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        for inputs, labels in loader:
            inputs, labels = inputs.to(engine.local_rank), labels.to(engine.local_rank)
            outputs = engine(inputs)
            loss = criterion(outputs, labels)
            engine.backward(loss)
            engine.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
