# Warnings, sanitizers and flags that every target of ours shares.
add_library(millrace_flags INTERFACE)
target_compile_options(millrace_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror)
# Contraction of a*b+c would make a result depend on inlining; kernels write their FMAs by hand.
target_compile_options(millrace_flags INTERFACE -ffp-contract=off)
if(MILLRACE_SANITIZE)
  target_compile_options(millrace_flags INTERFACE
    -fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
endif()
