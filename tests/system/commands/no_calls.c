/* A program that asks the C library for nothing: what makes its system calls itself looks like this. */
int main(void) {
    return 0;
}
