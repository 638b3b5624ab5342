#include <algorithm>

#include "kernels/float_types.hpp"
#include "kernels/score.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

using kernels::Accumulate;
using kernels::FloatType;
using kernels::Importance;
using kernels::ScoreStep;
using kernels::ScoreTensor;

constexpr Importance all_importances[] = {Importance::magnitude, Importance::taylor, Importance::fisher,
                                          Importance::snip, Importance::movement};

// One operation in double, rounded to float: for + - * the same as fp32 arithmetic.
float rounded(double exact) { return static_cast<float>(exact); }

float expected_step(Importance importance, float w, float g) {
  const double product = rounded(double{w} * double{g});
  switch (importance) {
    case Importance::magnitude:
      return std::fabs(w);
    case Importance::taylor:
      return rounded(std::fabs(product));
    case Importance::fisher:
      return rounded(product * product);
    case Importance::snip:
      return rounded(product);
    case Importance::movement:
      return rounded(-product);
  }
  return 0;
}

float expected_score(const ScoreStep& step, float w, float stored_gradient, float score) {
  const float g = rounded(double{stored_gradient} * double{step.inverse_loss_scale});
  const float s = expected_step(step.importance, w, g);
  if (step.accumulate == Accumulate::replace) return s;
  if (step.accumulate == Accumulate::sum) return rounded(double{score} + double{s});
  const float gain = rounded(1.0 - double{step.decay});
  return rounded(double{rounded(double{step.decay} * double{score})} + double{rounded(double{gain} * double{s})});
}

// The gradient as it is stored: a 16-bit type truncates, which is as good as rounding here.
std::vector<uint16_t> narrow(const std::vector<float>& values, FloatType type) {
  std::vector<uint16_t> bits;
  for (const float value : values) {
    if (type == FloatType::bf16) {
      bits.push_back(static_cast<uint16_t>(kernels::float_bits(value) >> 16));
    } else {
      const int exponent = std::clamp(static_cast<int>(kernels::float_bits(value) >> 23 & 255) - 112, 0, 30);
      bits.push_back(static_cast<uint16_t>((kernels::float_bits(value) >> 16 & 0x8000) |
                                           static_cast<uint32_t>(exponent) << 10 |
                                           (kernels::float_bits(value) >> 13 & 1023)));
    }
  }
  return bits;
}

struct Case {
  Case(TwinDevice& device, const std::vector<int64_t>& sizes, FloatType type, size_t shift,
       Values kind = Values::normal)
      : found_inf(device, {0.0f}) {
    for (size_t t = 0; t < sizes.size(); ++t) {
      weight.push_back(std::make_unique<TwinBuffer<float>>(device, make_values(kind, sizes[t], 3 * t), shift));
      score.push_back(std::make_unique<TwinBuffer<float>>(device, make_values(kind, sizes[t], 3 * t + 1), shift));
      std::vector<float> g = make_values(kind == Values::wide ? Values::normal : kind, sizes[t], 3 * t + 2);
      if (type == FloatType::fp32) {
        gradient.push_back(std::make_unique<TwinBuffer<float>>(device, g, shift));
        tensors.push_back({weight[t]->get(), gradient[t]->get(), type, score[t]->get(), sizes[t]});
      } else {
        const std::vector<uint16_t> bits = narrow(g, type);
        for (size_t i = 0; i < g.size(); ++i)
          g[i] = type == FloatType::bf16 ? kernels::bf16_to_float(bits[i]) : kernels::fp16_to_float(bits[i]);
        narrow_gradient.push_back(std::make_unique<TwinBuffer<uint16_t>>(device, bits, shift));
        tensors.push_back({weight[t]->get(), narrow_gradient[t]->get(), type, score[t]->get(), sizes[t]});
      }
      widened.push_back(g);
    }
  }

  void check_step(const ScoreStep& step) const {
    for (size_t t = 0; t < tensors.size(); ++t) {
      std::vector<float> expected = score[t]->initial();
      for (size_t i = 0; i < expected.size(); ++i)
        expected[i] = expected_score(step, weight[t]->initial()[i], widened[t][i], expected[i]);
      check_same_bytes(score[t]->read(), expected);
    }
  }

  void check_unchanged() const {
    for (const auto& buffer : score) check_same_bytes(buffer->read(), buffer->initial());
  }

  std::vector<std::unique_ptr<TwinBuffer<float>>> weight, score, gradient;
  std::vector<std::unique_ptr<TwinBuffer<uint16_t>>> narrow_gradient;
  std::vector<std::vector<float>> widened;
  std::vector<ScoreTensor> tensors;
  TwinBuffer<float> found_inf;
};

const std::vector<int64_t> mixed_sizes = {0, 33, 4096, 0, 1, 5003, 0};

}  // namespace

TEST_CASE("score: every importance, accumulation and gradient type equals the formula in double") {
  on_every_device([](TwinDevice& device) {
    for (const Importance importance : all_importances) {
      for (const Accumulate accumulate : {Accumulate::replace, Accumulate::sum, Accumulate::average}) {
        for (const FloatType type : {FloatType::fp32, FloatType::bf16, FloatType::fp16}) {
          INFO("importance " << static_cast<int>(importance) << ", accumulate " << static_cast<int>(accumulate)
                             << ", type " << static_cast<int>(type));
          const Case cases(device, mixed_sizes, type, type == FloatType::fp32 ? 0 : 4);
          const ScoreStep step{importance, accumulate, 0.95f, 1.0f / 1024, true};
          accumulate_scores(device.device(), step, cases.tensors, cases.found_inf.get());
          CHECK(cases.found_inf.read()[0] == 0.0f);
          cases.check_step(step);
        }
      }
    }
  });
}

TEST_CASE("score: every size and alignment") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t size : sizes_for(device)) {
      for (const size_t shift : {0, 1, 2, 3}) {
        if (size == large_size && shift != 1) continue;
        INFO("size " << size << ", shift " << shift);
        const Case cases(device, {size}, shift % 2 == 0 ? FloatType::fp32 : FloatType::bf16, shift);
        const ScoreStep step;
        accumulate_scores(device.device(), step, cases.tensors, cases.found_inf.get());
        cases.check_step(step);
      }
    }
  });
}

TEST_CASE("score: denormal, zero and very wide values are ordinary") {
  on_every_device([](TwinDevice& device) {
    for (const Values kind : {Values::zero, Values::denormal, Values::equal, Values::wide}) {
      const Case cases(device, {1023}, FloatType::fp32, 0, kind);
      const ScoreStep step{Importance::taylor, Accumulate::average, 0.5f, 1.0f, true};
      accumulate_scores(device.device(), step, cases.tensors, cases.found_inf.get());
      cases.check_step(step);
    }
  });
}

TEST_CASE("score: one inf or NaN gradient in any tensor leaves every score unchanged and sets the flag") {
  on_every_device([](TwinDevice& device) {
    for (const float bad : {INFINITY, -INFINITY, NAN}) {
      for (const int64_t place : {int64_t{0}, int64_t{4096}, int64_t{5002}}) {
        Case cases(device, {4200, 5003}, FloatType::fp32, 0);
        device.copy_in(cases.gradient[1]->get() + place, &bad, sizeof bad);
        accumulate_scores(device.device(), {}, cases.tensors, cases.found_inf.get());
        CHECK(cases.found_inf.read()[0] == 1.0f);
        cases.check_unchanged();
        // The flag is of this call alone: the next good step counts again.
        const float good = cases.gradient[1]->initial()[static_cast<size_t>(place)];
        device.copy_in(cases.gradient[1]->get() + place, &good, sizeof good);
        accumulate_scores(device.device(), {}, cases.tensors, cases.found_inf.get());
        CHECK(cases.found_inf.read()[0] == 0.0f);
        cases.check_step({});
      }
    }
  });
}

TEST_CASE("score: 16-bit infinities are found, and a finite gradient that the loss scale brings back is not one") {
  on_every_device([](TwinDevice& device) {
    Case cases(device, {100}, FloatType::fp16, 0);
    const uint16_t infinity = 0x7c00;
    device.copy_in(cases.narrow_gradient[0]->get() + 99, &infinity, sizeof infinity);
    accumulate_scores(device.device(), {}, cases.tensors, cases.found_inf.get());
    CHECK(cases.found_inf.read()[0] == 1.0f);
    cases.check_unchanged();
  });
}

TEST_CASE("score: a flag that the optimizer has set is obeyed and kept") {
  on_every_device([](TwinDevice& device) {
    const Case cases(device, mixed_sizes, FloatType::fp32, 0);
    ScoreStep step;
    step.check_gradients = false;
    const float set = 1.0f, clear = 0.0f;
    device.copy_in(cases.found_inf.get(), &set, sizeof set);
    accumulate_scores(device.device(), step, cases.tensors, cases.found_inf.get());
    CHECK(cases.found_inf.read()[0] == 1.0f);
    cases.check_unchanged();
    device.copy_in(cases.found_inf.get(), &clear, sizeof clear);
    accumulate_scores(device.device(), step, cases.tensors, cases.found_inf.get());
    cases.check_step(step);
  });
}

TEST_CASE("score: magnitude needs neither gradients nor a flag") {
  on_every_device([](TwinDevice& device) {
    Case cases(device, mixed_sizes, FloatType::fp32, 1);
    for (ScoreTensor& tensor : cases.tensors) tensor.gradient = nullptr;
    const ScoreStep step{Importance::magnitude, Accumulate::replace, 0.9f, 1.0f, true};
    accumulate_scores(device.device(), step, cases.tensors, nullptr);
    cases.check_step(step);
  });
}

TEST_CASE("score: bad arguments are refused before anything changes") {
  on_every_device([](TwinDevice& device) {
    Case cases(device, {10, 10}, FloatType::fp32, 0);
    const auto run = [&](const ScoreStep& step, float* flag) {
      accumulate_scores(device.device(), step, cases.tensors, flag);
    };
    ScoreStep bad;
    bad.decay = 1.0f;
    CHECK_THROWS_AS(run(bad, cases.found_inf.get()), Error);
    bad.decay = 0.5f;
    bad.inverse_loss_scale = 0.0f;
    CHECK_THROWS_AS(run(bad, cases.found_inf.get()), Error);
    CHECK_THROWS_AS(run({}, nullptr), Error);
    cases.tensors[1].gradient = nullptr;
    CHECK_THROWS_WITH_AS(run({}, cases.found_inf.get()), "accumulate_scores: tensor 1 has no gradient (got null)",
                         Error);
    cases.check_unchanged();
  });
}

}  // namespace pare::test
