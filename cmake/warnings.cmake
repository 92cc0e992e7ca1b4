# Warnings, sanitizers and flags that every C++ target of ours shares (nvcc does not know them).
add_library(millrace_flags INTERFACE)
set(flags -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror)
# Contraction of a*b+c would make a result depend on inlining; kernels write their FMAs by hand.
list(APPEND flags -ffp-contract=off)
# Messages name files from the root of the project, and objects do not depend on where it lies.
list(APPEND flags -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
# g++ 12 at -O3 sees overlaps in std::string's own operator+ (its bug 105651), and strings that come
# out of a TRY as perhaps never written. Clang and the sanitizers watch for the real ones.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  list(APPEND flags -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(MILLRACE_SANITIZE)
  list(APPEND flags
    -fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
endif()
target_compile_options(millrace_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
