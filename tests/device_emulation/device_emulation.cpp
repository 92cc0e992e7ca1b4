// Blocks of fibers: every thread runs until it waits, warp after warp.
#include "device_emulation.h"

#include <ucontext.h>

#include <csetjmp>
#include <memory>
#include <optional>
#include <vector>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace millrace::emulated {
namespace {

constexpr std::size_t kStackBytes = 128 * 1024;
constexpr unsigned kLanes = 32;

enum class State : std::uint8_t { kReady, kAtWarp, kAtBlock, kEnded };

// Where a fiber or the scheduler goes on. swapcontext asks the system for the signal mask each
// time, a jump does not and is some ten times as fast; but only the first tells the address
// sanitizer's stacks apart.
struct Place {
  ucontext_t context;
  jmp_buf jump;
  bool has_jump = false;
};

void switch_places(Place& from, Place& to) {
#if defined(__SANITIZE_ADDRESS__)
  swapcontext(&from.context, &to.context);
#else
  from.has_jump = true;
  if (_setjmp(from.jump) != 0) return;
  if (to.has_jump) _longjmp(to.jump, 1);
  setcontext(&to.context);
#endif
}

struct Fiber {
  Place place;
  std::unique_ptr<char[]> stack;
  void* fake_stack = nullptr;  // the address sanitizer's
  State state = State::kEnded;
  Index3 index;
  unsigned num_exchanges = 0;
};

struct Warp {
  std::uint64_t words[2][kLanes][8] = {};
};

struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  Place scheduler;
  void* scheduler_fake_stack = nullptr;
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
  Fiber* running = nullptr;
  unsigned num_threads = 0;
  Index3 grid, block, block_at;
  std::unique_ptr<std::byte[]> shared;
  std::optional<FunctionRef<void()>> thread;
  Order order = Order::kRising;
};

Machine& machine() {
  static thread_local Machine only;
  return only;
}

void leave_to_scheduler([[maybe_unused]] bool for_good) {
  Machine& m = machine();
  Fiber& fiber = *m.running;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fiber.fake_stack, m.scheduler_stack,
                                 m.scheduler_stack_bytes);
#endif
  switch_places(fiber.place, m.scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack, nullptr, nullptr);
#endif
}

void enter_fiber() {
  Machine& m = machine();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_stack_bytes);
#endif
  (*m.thread)();
  m.running->state = State::kEnded;
  leave_to_scheduler(true);
}

void resume(Fiber& fiber) {
  Machine& m = machine();
  m.running = &fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&m.scheduler_fake_stack, fiber.stack.get(), kStackBytes);
#endif
  switch_places(m.scheduler, fiber.place);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(m.scheduler_fake_stack, nullptr, nullptr);
#endif
  m.running = nullptr;
}

void wait_as(State state) {
  machine().running->state = state;
  leave_to_scheduler(false);
}

// Whether every thread of [begin, end) is at `state` or has ended, and some are at it.
bool all_at(State state, unsigned begin, unsigned end) {
  unsigned num_at = 0;
  unsigned num_ended = 0;
  for (unsigned i = begin; i < end; ++i) {
    num_at += machine().fibers[i]->state == state ? 1 : 0;
    num_ended += machine().fibers[i]->state == State::kEnded ? 1 : 0;
  }
  return num_at > 0 && num_at + num_ended == end - begin;
}

void release(unsigned begin, unsigned end) {
  for (unsigned i = begin; i < end; ++i) {
    Fiber& fiber = *machine().fibers[i];
    if (fiber.state != State::kEnded) fiber.state = State::kReady;
  }
}

// Until no thread of the warp can go on without other warps.
void run_warp(unsigned begin, unsigned end) {
  Machine& m = machine();
  for (;;) {
    for (unsigned i = 0; i < end - begin; ++i) {
      Fiber& fiber = *m.fibers[m.order == Order::kRising ? begin + i : end - 1 - i];
      if (fiber.state == State::kReady) resume(fiber);
    }
    if (!all_at(State::kAtWarp, begin, end)) return;
    release(begin, end);
  }
}

void start_fiber(Fiber& fiber) {
  if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);
  ucontext_t& context = fiber.place.context;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, enter_fiber, 0);
  fiber.place.has_jump = false;
  fiber.fake_stack = nullptr;
  fiber.state = State::kReady;
  fiber.num_exchanges = 0;
}

void run_block(std::size_t shared_bytes) {
  Machine& m = machine();
  m.shared = std::make_unique<std::byte[]>(shared_bytes);
  std::memset(m.shared.get(), 0xFF, shared_bytes);
  for (unsigned i = 0; i < m.num_threads; ++i) {
    start_fiber(*m.fibers[i]);
    m.fibers[i]->index = {i, 0, 0};
  }
  const unsigned num_warps = m.num_threads / kLanes;
  for (;;) {
    for (unsigned w = 0; w < num_warps; ++w) {
      const unsigned warp = m.order == Order::kRising ? w : num_warps - 1 - w;
      run_warp(warp * kLanes, (warp + 1) * kLanes);
    }
    if (!all_at(State::kAtBlock, 0, m.num_threads)) break;
    release(0, m.num_threads);
  }
  for (unsigned i = 0; i < m.num_threads; ++i) {
    CHECK(m.fibers[i]->state == State::kEnded);  // Else it waits for threads that never come.
  }
}

}  // namespace

const Index3& thread_index() {
  return machine().running->index;
}
const Index3& block_index() {
  return machine().block_at;
}
const Index3& block_extent() {
  return machine().block;
}
const Index3& grid_extent() {
  return machine().grid;
}
void set_order(Order order) {
  machine().order = order;
}
std::byte* shared_memory() {
  return machine().shared.get();
}
void wait_block() {
  wait_as(State::kAtBlock);
}
void wait_warp() {
  wait_as(State::kAtWarp);
}

WarpWords share_words(const std::uint64_t (&words)[8]) {
  Machine& m = machine();
  Fiber& fiber = *m.running;
  Warp& warp = m.warps[fiber.index.x / kLanes];
  // Two halves in turn: whoever writes a half again has passed a wait that all readers came to.
  auto& half = warp.words[fiber.num_exchanges++ % 2];
  std::memcpy(half[fiber.index.x % kLanes], words, sizeof words);
  wait_warp();
  return {half};
}

std::uint64_t exchange(std::uint64_t value, unsigned lane) {
  const std::uint64_t words[8] = {value};
  return share_words(words).words[lane][0];
}

void run_grid(const Index3& grid, unsigned num_threads, std::size_t shared_bytes,
              FunctionRef<void()> thread) {
  Machine& m = machine();
  CHECK(m.running == nullptr);
  m.grid = grid;
  m.block = {num_threads, 1, 1};
  m.num_threads = num_threads;
  m.thread.emplace(thread);
  while (m.fibers.size() < num_threads) m.fibers.push_back(std::make_unique<Fiber>());
  m.warps.resize(num_threads / kLanes);
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        m.block_at = {x, y, z};
        run_block(shared_bytes);
      }
    }
  }
  m.shared.reset();
}

}  // namespace millrace::emulated

namespace millrace::cuda {
namespace {

float half_of(std::uint64_t word, unsigned half, float (*widen)(std::uint16_t)) {
  return widen(static_cast<std::uint16_t>(word >> (16 * half)));
}

void multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
              float (*widen)(std::uint16_t)) {
  const std::uint64_t mine[8] = {a[0], a[1], a[2], a[3], b[0], b[1], 0, 0};
  const emulated::WarpWords warp = emulated::share_words(mine);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + (i >= 2 ? 8 : 0);
    const unsigned column = lane % 4 * 2 + i % 2;
    double sum = double{c[i]};
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned in_half = k % 8;
      const std::uint64_t a_word =
          warp.words[row % 8 * 4 + in_half / 2][(row >= 8 ? 1 : 0) + (k >= 8 ? 2 : 0)];
      const std::uint64_t b_word = warp.words[column * 4 + in_half / 2][4 + (k >= 8 ? 1 : 0)];
      sum += double{half_of(a_word, k % 2, widen)} * double{half_of(b_word, k % 2, widen)};
    }
    c[i] = static_cast<float>(sum);
  }
}

float widen_bf16(std::uint16_t bits) {
  return to_float(BFloat16{bits});
}
float widen_f16(std::uint16_t bits) {
  return to_float(Float16{bits});
}

std::uint16_t element(const emulated::WarpWords& rows, unsigned tile, unsigned row,
                      unsigned column) {
  const auto* address = reinterpret_cast<const std::byte*>(rows.words[tile * 8 + row][0]);
  std::uint16_t value = 0;
  std::memcpy(&value, address + column * sizeof value, sizeof value);
  return value;
}

void load(std::uint32_t (&r)[4], const std::byte* row, bool is_transposed) {
  CHECK(reinterpret_cast<std::uintptr_t>(row) % 16 == 0);
  const std::uint64_t mine[8] = {reinterpret_cast<std::uint64_t>(row)};
  const emulated::WarpWords rows = emulated::share_words(mine);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned tile = 0; tile < 4; ++tile) {
    std::uint32_t pair = 0;
    for (unsigned j = 0; j < 2; ++j) {
      const unsigned i = lane / 4;
      const unsigned k = lane % 4 * 2 + j;
      const std::uint16_t value =
          is_transposed ? element(rows, tile, k, i) : element(rows, tile, i, k);
      pair |= static_cast<std::uint32_t>(value) << (16 * j);
    }
    r[tile] = pair;
  }
}

}  // namespace

void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply(c, a, b, widen_bf16);
}
void mma_f16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply(c, a, b, widen_f16);
}
void load_tiles(std::uint32_t (&r)[4], const std::byte* row) {
  load(r, row, false);
}
void load_transposed_tiles(std::uint32_t (&r)[4], const std::byte* row) {
  load(r, row, true);
}

}  // namespace millrace::cuda
