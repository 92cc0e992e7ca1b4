// Ctrl-C as a flag that long work looks at.
#pragma once

#include <atomic>

namespace millrace {

// From here on Ctrl-C sets the flag; a second one, while the flag is still set, ends the process.
void catch_interrupts();
std::atomic<bool>& interrupt_flag();

}  // namespace millrace
