// The progress bar.
#include "cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

namespace millrace {
namespace {

constexpr Duration kQuietTime = std::chrono::milliseconds(500);
constexpr Duration kRedrawTime = std::chrono::milliseconds(100);
constexpr int kBarWidth = 30;

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      started_(clock_.now()),
      drawn_(started_),
      is_terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (is_shown_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::update(std::uint64_t done, std::uint64_t total) {
  const TimePoint now = clock_.now();
  if (!is_terminal_ || total == 0 || now - started_ < kQuietTime || now - drawn_ < kRedrawTime)
    return;
  drawn_ = now;
  draw(done, total);
}

void ProgressBar::draw(std::uint64_t done, std::uint64_t total) {
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int filled = static_cast<int>(part * kBarWidth);
  const double elapsed = seconds(drawn_ - started_);
  const double left = part > 0.0 ? elapsed / part - elapsed : 0.0;
  const std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                          std::string(static_cast<std::size_t>(kBarWidth - filled), '.');
  std::fprintf(stderr, "\r%s [%s] %3.0f %%, %.0f s left\033[K", label_.c_str(), bar.c_str(),
               part * 100.0, left);
  std::fflush(stderr);
  is_shown_ = true;
}

}  // namespace millrace
