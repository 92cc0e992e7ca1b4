// What plain characters do to a state of a machine.
#pragma once

#include "constrain/machine.h"

namespace millrace {

Machine::TextKind text_kind(const Machine& machine, const Machine::State& state,
                            const TokenVocabulary& vocabulary);

}  // namespace millrace
