# Form: a frozen teacher, the student learns from labels and from the teacher's distribution.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

T, alpha = 4.0, 0.7


def classifier(width):
    return nn.Sequential(nn.Linear(25, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))


def distill(student, teacher, loader, epochs):
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    teacher.eval()
    student.train()
    for epoch in range(epochs):
        for x, y in loader:
            with torch.no_grad():
                teacher_logits = teacher(x)
            student_logits = student(x)
            soft = F.kl_div(
                F.log_softmax(student_logits / T, dim=1), F.softmax(teacher_logits / T, dim=1), reduction="batchmean"
            )
            loss = alpha * T * T * soft + (1 - alpha) * F.cross_entropy(student_logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    data = TensorDataset(torch.randn(320, 25), torch.randint(0, 10, (320,)))
    loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
    distill(classifier(16), classifier(128), loader, epochs=3)
