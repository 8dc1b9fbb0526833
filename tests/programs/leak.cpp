// Leaks of a C++ program, by names that are mangled: a member of a class in a namespace, and a template. What
// a destructor of a static object frees at exit is no leak. With the argument "fixed" nothing leaks.
#include <cstring>
#include <map>
#include <string>

namespace shop {

struct Cart {
    int *fill(int count);
};

__attribute__((noinline)) int *Cart::fill(int count) {
    int *numbers = new int[count];
    numbers[0] = count;
    return numbers;
}

template <typename T> __attribute__((noinline)) T *make(T value) { return new T(value); }

} // namespace shop

static std::map<int, std::string> kept_until_exit;

int main(int argc, char **argv) {
    shop::Cart cart;
    int *numbers = cart.fill(1000);
    double *number = shop::make(1.5);
    asm volatile("" : : "r"(numbers), "r"(number) : "memory");
    for (int i = 0; i < 100; i++) kept_until_exit[i] = std::string(100, 'x');
    if (argc > 1 && std::strcmp(argv[1], "fixed") == 0) {
        delete[] numbers;
        delete number;
    }
    return 0;
}
