#include <filesystem>

#include <doctest/doctest.h>

#include "src/core/cost.hpp"
#include "tests/support/temporary_folder.hpp"

namespace pare {

namespace {

using test::TemporaryFolder;
using test::write_whole;

void write_zone(const TemporaryFolder& root, const std::string& zone, const std::string& name, int64_t range) {
  std::filesystem::create_directory(root.file(zone));
  write_whole(root.file(zone + "/name"), name + "\n");
  write_whole(root.file(zone + "/max_energy_range_uj"), std::to_string(range) + "\n");
}

void write_energy(const TemporaryFolder& root, const std::string& zone, int64_t microjoules) {
  write_whole(root.file(zone + "/energy_uj"), std::to_string(microjoules) + "\n");
}

constexpr int64_t range = 262143328850;

}  // namespace

TEST_CASE("cost: without energy counters the energies are absent, not zero") {
  const TemporaryFolder root;
  CostMeter meter(root.file("nothing"));
  const Cost cost = meter.measure();
  CHECK(cost.duration >= 0);
  CHECK(cost.duration < 60);
  CHECK_FALSE(cost.cpu_energy.has_value());
  CHECK_FALSE(cost.ram_energy.has_value());
}

TEST_CASE("cost: peak memory is that of the process") {
  const Cost cost = CostMeter().measure();
  REQUIRE(cost.peak_rss.has_value());
  CHECK(*cost.peak_rss > 1 << 20);
}

TEST_CASE("cost: energies of packages and memory are added up in kWh") {
  const TemporaryFolder root;
  write_zone(root, "intel-rapl:0", "package-0", range);
  write_zone(root, "intel-rapl:1", "package-1", range);
  write_zone(root, "intel-rapl:0:0", "core", range);
  write_zone(root, "intel-rapl:0:1", "dram", range);
  for (const char* zone : {"intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:0:1"})
    write_energy(root, zone, 1000);
  CostMeter meter(root.file(""));
  write_energy(root, "intel-rapl:0", 1000 + 3600000);
  write_energy(root, "intel-rapl:1", 1000 + 7200000);
  write_energy(root, "intel-rapl:0:0", 1000 + 999999999);
  write_energy(root, "intel-rapl:0:1", 1000 + 1800000);
  const Cost cost = meter.measure();
  CHECK(cost.cpu_energy.value() == doctest::Approx(3e-6));
  CHECK(cost.ram_energy.value() == doctest::Approx(0.5e-6));
}

TEST_CASE("cost: a counter that wrapped is unwrapped") {
  const TemporaryFolder root;
  write_zone(root, "intel-rapl:0", "package-0", range);
  write_energy(root, "intel-rapl:0", range - 600000);
  CostMeter meter(root.file(""));
  write_energy(root, "intel-rapl:0", 3000000);
  CHECK(meter.measure().cpu_energy.value() == doctest::Approx(3.6 / 3.6e6));
}

TEST_CASE("cost: a counter that becomes unreadable gives no energy") {
  const TemporaryFolder root;
  write_zone(root, "intel-rapl:0", "package-0", range);
  write_energy(root, "intel-rapl:0", 5);
  CostMeter meter(root.file(""));
  std::filesystem::remove(root.file("intel-rapl:0/energy_uj"));
  CHECK_FALSE(meter.measure().cpu_energy.has_value());
}

TEST_CASE("cost: a counter so small that it may have wrapped unseen gives no energy") {
  const TemporaryFolder root;
  write_zone(root, "intel-rapl:0", "package-0", 1);
  write_energy(root, "intel-rapl:0", 0);
  CostMeter meter(root.file(""));
  CHECK_FALSE(meter.measure().cpu_energy.has_value());
}

}  // namespace pare
