// How fast samples become a model's inputs: the MNIST layout (`idx FOLDER`: seconds for all images, opening included),
// and JPEG files (`images FOLDER ROUNDS`: images a second of processor time in one thread, resized to 256, cropped to
// 224, normalised; a line a round).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "src/data/image_folder.hpp"
#include "src/data/loader.hpp"

using namespace pare;

namespace {

LoaderConfig one_thread() {
  LoaderConfig config;
  config.batch = 32;
  config.threads = 1;
  config.preprocess.mean = {0.485};
  config.preprocess.std = {0.229};
  return config;
}

int64_t load_all(const Dataset& dataset, const LoaderConfig& config) {
  Loader loader(dataset, config);
  loader.start(0);
  int64_t samples = 0;
  while (const Batch* batch = loader.next()) samples += batch->size;
  return samples;
}

// Of all threads of the process.
double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void time_idx(const std::string& folder) {
  const auto begin = std::chrono::steady_clock::now();
  DataRequest request;
  request.split = "train";
  const int64_t samples = load_all(*open_data(folder, request), one_thread());
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  std::printf("%lld %.3f\n", static_cast<long long>(samples), spent.count());
}

// The data set is opened for each round: what an earlier one has decoded is not kept.
void time_images(const std::string& folder, int rounds) {
  DataRequest request;
  request.resize = {256, 0};
  request.crop = {224, 224};
  for (int round = 0; round < rounds; ++round) {
    const DatasetPtr dataset = open_image_folder(folder, request);
    const double begin = processor_seconds();
    const auto samples = static_cast<double>(load_all(*dataset, one_thread()));
    std::printf("%.1f\n", samples / (processor_seconds() - begin));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 2 ? arguments[1] : "";
  if (what == "idx" && count == 3) time_idx(arguments[2]);
  else if (what == "images" && count == 4) time_images(arguments[2], std::atoi(arguments[3]));
  else return std::fputs("usage: bench_decode idx FOLDER | images FOLDER ROUNDS\n", stderr), 2;
  return 0;
}
