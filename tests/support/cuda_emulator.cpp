#include "tests/support/cuda_emulator.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>

#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>

namespace pare::emulator {
namespace {

namespace context = boost::context;

constexpr size_t stack_bytes = size_t{128} << 10;
constexpr size_t most_shared_bytes = size_t{48} << 10;

struct Thread {
  ThreadContext context;
  int index = 0;  // in the block
  context::fiber fiber;
  context::fiber* scheduler = nullptr;  // to go back to
  enum class State { ready, at_block_barrier, at_warp_call, ended } state = State::ready;
  Location where;     // of the barrier or call it waits at
  unsigned mask = 0;  // of the warp call
  bool orders_memory = false;
  uint64_t value = 0;  // given to the exchange
  uint64_t received[32] = {};
  int64_t warp_epoch = 0;  // __syncwarp calls passed
};

struct SharedKey {
  std::string name;
  std::string file;
  unsigned line;
  auto operator<=>(const SharedKey&) const = default;
};

struct BlockRun {
  std::vector<std::unique_ptr<Thread>> threads;
  std::map<SharedKey, SharedStorage> shared;
  size_t shared_bytes = 0;
  int64_t epoch = 0;  // __syncthreads calls passed
  std::exception_ptr error;
};

BlockRun* running_block = nullptr;
Thread* running_thread = nullptr;

std::string describe(Location where) {
  std::string file = where.file_name();
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(where.line());
}

std::string describe(const ThreadContext& thread) {
  return "block " + std::to_string(thread.block.x) + ", thread " + std::to_string(thread.thread.x);
}

bool same_place(Location a, Location b) {
  return a.line() == b.line() && a.column() == b.column() && std::string_view(a.file_name()) == b.file_name();
}

// Leaves the running fiber until the scheduler resumes it.
void wait_as(Thread::State state, Location where) {
  Thread& self = *running_thread;
  self.state = state;
  self.where = where;
  context::fiber& scheduler = *self.scheduler;
  scheduler = std::move(scheduler).resume();
}

// Releases the block barrier if all threads are at the same one. Returns whether it did.
bool release_block(BlockRun& block) {
  for (const auto& thread : block.threads)
    if (thread->state != Thread::State::at_block_barrier) return false;
  for (const auto& thread : block.threads) {
    if (!same_place(thread->where, block.threads[0]->where))
      throw EmulatorError("divergent barrier: " + describe(thread->context) + " is at " + describe(thread->where) +
                          " while thread 0 is at " + describe(block.threads[0]->where));
    thread->state = Thread::State::ready;
  }
  ++block.epoch;
  return true;
}

// Releases the warp calls of one warp whose lanes have all come. Returns whether there was one.
bool release_warp(BlockRun& block, size_t first) {
  const size_t lanes = std::min<size_t>(32, block.threads.size() - first);
  for (size_t lane = 0; lane < lanes; ++lane) {
    const Thread& asker = *block.threads[first + lane];
    if (asker.state != Thread::State::at_warp_call) continue;
    const unsigned mask = asker.mask;
    bool complete = true;
    for (size_t other = 0; other < lanes; ++other) {
      if ((mask >> other & 1u) == 0) continue;
      const Thread& thread = *block.threads[first + other];
      complete = complete && thread.state == Thread::State::at_warp_call && thread.mask == mask &&
                 same_place(thread.where, asker.where);
    }
    if (!complete) continue;
    uint64_t values[32] = {};
    for (size_t other = 0; other < lanes; ++other)
      if ((mask >> other & 1u) != 0) values[other] = block.threads[first + other]->value;
    for (size_t other = 0; other < lanes; ++other) {
      if ((mask >> other & 1u) == 0) continue;
      Thread& thread = *block.threads[first + other];
      std::copy(values, values + 32, thread.received);
      thread.state = Thread::State::ready;
      if (thread.orders_memory) ++thread.warp_epoch;
    }
    return true;
  }
  return false;
}

[[noreturn]] void report_stuck(const BlockRun& block) {
  for (const auto& thread : block.threads)
    if (thread->state == Thread::State::at_warp_call)
      throw EmulatorError("divergent warp call: " + describe(thread->context) + " waits at " + describe(thread->where) +
                          " for lanes of its mask that do not come");
  for (const auto& thread : block.threads)
    if (thread->state == Thread::State::at_block_barrier)
      throw EmulatorError("divergent barrier: " + describe(thread->context) + " waits at " + describe(thread->where) +
                          " while other threads have ended");
  throw EmulatorError("the emulator has lost a thread");
}

void run_block(BlockRun& block, const std::vector<size_t>& order) {
  while (true) {
    bool all_ended = true, progress = false;
    for (const size_t index : order) {
      Thread& thread = *block.threads[index];
      if (thread.state == Thread::State::ready) {
        running_thread = &thread;
        thread.fiber = std::move(thread.fiber).resume();
        if (block.error) std::rethrow_exception(block.error);
        progress = true;
      }
      all_ended = all_ended && thread.state == Thread::State::ended;
    }
    if (all_ended) return;
    for (size_t first = 0; first < block.threads.size(); first += 32) progress |= release_warp(block, first);
    if (!progress && !release_block(block)) report_stuck(block);
  }
}

std::vector<size_t> run_order(size_t count, std::mt19937_64& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (settings().order == Order::reversed) std::reverse(order.begin(), order.end());
  if (settings().order == Order::random) std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace

Settings& settings() {
  static Settings settings;
  return settings;
}

const ThreadContext& current() {
  if (running_thread == nullptr) throw EmulatorError("a device function was called outside a kernel");
  return running_thread->context;
}

void launch(const char* kernel, dim3 grid, dim3 block_size, const std::function<void()>& body) {
  const size_t threads = size_t{block_size.x} * block_size.y * block_size.z;
  if (grid.x == 0 || threads == 0 || threads > 1024 || grid.y != 1 || grid.z != 1 || block_size.y != 1 ||
      block_size.z != 1)
    throw EmulatorError(std::string(kernel) + ": invalid launch configuration (grid " + std::to_string(grid.x) +
                        ", block " + std::to_string(threads) + ")");
  std::mt19937_64 random(settings().seed);
  static context::pooled_fixedsize_stack stacks(stack_bytes);  // kept: mapping a thousand stacks a launch is slow
  for (const size_t b : run_order(grid.x, random)) {
    BlockRun block;
    running_block = &block;
    for (size_t t = 0; t < threads; ++t) {
      auto thread = std::make_unique<Thread>();
      thread->index = static_cast<int>(t);
      thread->context = {{static_cast<unsigned>(t), 0, 0}, {static_cast<unsigned>(b), 0, 0}, block_size, grid};
      thread->fiber =
          context::fiber(std::allocator_arg, stacks, [&block, &body, self = thread.get()](context::fiber&& caller) {
            self->scheduler = &caller;
            try {
              body();
            } catch (const context::detail::forced_unwind&) {
              throw;
            } catch (...) {
              block.error = std::current_exception();
            }
            self->state = Thread::State::ended;
            return std::move(caller);
          });
      block.threads.push_back(std::move(thread));
    }
    try {
      run_block(block, run_order(threads, random));
    } catch (const EmulatorError& error) {
      running_thread = nullptr;
      running_block = nullptr;
      throw EmulatorError(std::string(kernel) + ": " + error.what());
    }
    running_thread = nullptr;
    running_block = nullptr;
  }
}

void sync_block(Location where) { wait_as(Thread::State::at_block_barrier, where); }

void sync_warp(unsigned mask, Location where) {
  running_thread->orders_memory = true;
  running_thread->mask = mask;
  wait_as(Thread::State::at_warp_call, where);
}

const uint64_t* exchange(unsigned mask, uint64_t value, Location where) {
  if ((mask >> lane() & 1u) == 0) fail_at(where, "warp call: the calling lane is not in the mask");
  running_thread->orders_memory = false;
  running_thread->mask = mask;
  running_thread->value = value;
  wait_as(Thread::State::at_warp_call, where);
  return running_thread->received;
}

void fail_at(Location where, const std::string& what) {
  throw EmulatorError(describe(where) + ": " + describe(current()) + ": " + what);
}

SharedStorage& shared_storage(const char* name, size_t count, size_t element_size, Location where) {
  SharedStorage& storage = running_block->shared[{name, where.file_name(), where.line()}];
  if (storage.elements.empty()) {
    storage.bytes.resize(count * element_size, std::byte{0xcd});
    storage.elements.resize(count);
    running_block->shared_bytes += count * element_size;
    if (running_block->shared_bytes > most_shared_bytes)
      fail_at(where, std::string("more than 48 KB of shared memory at ") + name);
  }
  return storage;
}

void note_access(const char* name, SharedStorage& storage, size_t index, Access access, Location where) {
  SharedElement& element = storage.elements[index];
  const Thread& self = *running_thread;
  const int warp = self.index / 32;
  const auto fail_element = [&](const char* what) {
    fail_at(where, std::string("shared array ") + name + "[" + std::to_string(index) + "]: " + what);
  };
  // Whether another thread's earlier access is not separated from this one by a barrier.
  const auto concurrent = [&](const Toucher& other) {
    if (other.thread == Toucher::nobody || other.thread == self.index || other.epoch < running_block->epoch)
      return false;
    return other.warp != warp || other.warp_epoch >= self.warp_epoch;
  };
  const auto add_to = [&](Toucher& touchers) {
    if (touchers.thread == Toucher::nobody || touchers.epoch < running_block->epoch) {
      touchers = {self.index, warp, running_block->epoch, self.warp_epoch};
      return;
    }
    if (touchers.thread != self.index) touchers.thread = Toucher::several;
    if (touchers.warp != warp) touchers.warp = Toucher::several;
    touchers.warp_epoch = std::max(touchers.warp_epoch, self.warp_epoch);
  };

  if (access != Access::write && !element.written) fail_element("it is read before it was written");
  if (concurrent(element.writer)) fail_element("no barrier since another thread's write");
  if (access != Access::atomic && concurrent(element.atomic_writer))
    fail_element("no barrier since another thread's atomic write");
  if (access != Access::read && concurrent(element.reader)) fail_element("no barrier since another thread's read");

  if (access == Access::read) {
    add_to(element.reader);
  } else {
    add_to(access == Access::write ? element.writer : element.atomic_writer);
    element.written = true;
  }
}

}  // namespace pare::emulator
