// Truth, equality, order and membership, as Python has them.
#pragma once

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

bool is_true(const Value& value);
Result<bool> equal(Sandbox& sandbox, const Value& a, const Value& b);

enum class Order : std::uint8_t { kLess, kLessEqual, kGreater, kGreaterEqual };
// Fails for types that have no order.
Result<bool> ordered(Sandbox& sandbox, Order order, const Value& a, const Value& b);

// item in container
Result<bool> contains(Sandbox& sandbox, const Value& container, const Value& item);
// len(value)
Result<std::int64_t> length(const Value& value);

// Fails with the message of an undefined value.
Error undefined_error(const Value& value);

}  // namespace millrace::jinja
